"""What a model's answers are worth, task by task: sums over rows, whose memory does not grow with them."""
