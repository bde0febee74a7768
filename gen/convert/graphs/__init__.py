"""ONNX and QONNX files as PyTorch modules (docs/onnx.md)."""
