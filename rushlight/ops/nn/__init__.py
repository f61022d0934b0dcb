"""What `nn.functional` adds: convolution, pooling, attention, normalisation, losses."""
