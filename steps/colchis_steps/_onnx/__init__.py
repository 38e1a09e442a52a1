"""The ONNX format: loading a model and asking it, by onnxruntime."""
