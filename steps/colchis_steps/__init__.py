"""The steps of Colchis: each module is one container command, ``python -m colchis_steps.<stem> --flag=value``."""
