"""The embedded servers as containers: an image, a compose file, and the stack file that attaches to them."""
