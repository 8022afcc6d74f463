"""Pretrained models of waveforms that the user supplies."""
