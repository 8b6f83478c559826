"""Single images: read, resized, normalized."""
