"""How sure a comparison of two models on the same rows is: tests, intervals and power, by NumPy alone."""
