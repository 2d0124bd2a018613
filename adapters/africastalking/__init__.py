"""Africa's Talking: text messages."""
