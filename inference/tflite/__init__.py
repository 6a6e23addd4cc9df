"""Export to TFLite: the graph, its conversion, and the checks that it is the trained model. Needs TensorFlow."""
