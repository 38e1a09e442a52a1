"""What a served model is asked, row by row, and how its answers are told."""
