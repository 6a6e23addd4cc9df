"""The network: features, encoders, heads and losses, for every Keras backend."""
