"""Text messages: what customers are told, in which words, and what became of it."""
