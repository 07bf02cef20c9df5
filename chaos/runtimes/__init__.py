"""How to touch a node or a link: start, kill, pause, slow down, shape. One file per runtime."""
