"""Networks (spectrograms → logits) and the loss."""
