"""main.py's command line: its options, their types and scopes."""
