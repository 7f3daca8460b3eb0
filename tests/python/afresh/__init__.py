"""The numbers of a run folder once more, from its files and the definitions in docs/format.md alone."""
