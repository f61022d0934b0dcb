"""What a Tensor can do besides operators: methods, construction, conversion, printing, NumPy and DLPack."""
