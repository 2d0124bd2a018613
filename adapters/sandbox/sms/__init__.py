"""The simulated providers of text messages: Africa's Talking and Pindo."""
