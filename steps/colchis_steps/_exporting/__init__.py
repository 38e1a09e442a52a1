"""The export of models of other frameworks as ONNX that has a data set's columns as inputs, and is checked."""
