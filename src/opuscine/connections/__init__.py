"""What happens on a connection before a request is one: bounds on its phases and their number, and answers to what cannot be parsed."""
