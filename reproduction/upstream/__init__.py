"""The authors' repository: where its result tables lie, how they are read, and their import."""
