"""Backbones: pretrained models of waveforms that the user supplies."""
