"""The templates of Colchis, their rendering, their lint and their local run."""
