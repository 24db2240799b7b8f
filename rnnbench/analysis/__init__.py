"""Looking inside a trained model: what it says, what it finds likely, and what goes on in its states."""
