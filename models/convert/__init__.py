"""A fitted estimator or torch module becomes an ONNX graph that says the same."""
