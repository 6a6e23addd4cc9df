"""What the network is fed: clips held once, what is held out, augmentation, batches."""
