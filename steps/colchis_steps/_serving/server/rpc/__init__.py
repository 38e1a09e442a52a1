"""The same models over gRPC: the Open Inference Protocol V2 and TensorFlow Serving's services."""
