"""People in pictures: who is there, where, and what is said of them."""
