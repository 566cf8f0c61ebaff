"""Rules and destinations at the desk: written as a draft, tried on the past, published, rolled back, explained."""
