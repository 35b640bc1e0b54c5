"""The authors' tools:  python -m tools.NAME --help"""
