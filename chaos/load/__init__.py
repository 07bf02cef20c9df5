"""Virtual users: they come on a seeded, precomputed plan, in a process of their own, and record all they do."""
