"""What is asked over a screen: each dialog draws its box and takes the keys while it is open."""
