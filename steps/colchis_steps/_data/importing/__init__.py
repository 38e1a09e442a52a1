"""Files of any kind become a data set: what is read, how rows are divided, and the parts that are written."""
