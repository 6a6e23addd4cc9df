"""The page of inference.visualize, a module for each of its sections, and the pictures of inference.draw."""
