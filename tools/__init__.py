"""The authors' tools:  python -m tools.NAME --help"""
import engine.own_process  # noqa: F401
