"""Export a finished classifier, and use it on new images."""
