"""The composition root: the only place where parts are wired together. It prints nothing; `cli` does."""
