class Writer:
    def __init__(self, *a): pass
    def epoch(self, *a): pass
    def close(self): pass
