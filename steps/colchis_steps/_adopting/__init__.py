"""A model that exists already: where it lies in what is given, and how its inputs and outputs get the task's names."""
