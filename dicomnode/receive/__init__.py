"""Receiving: the Storage and Verification SCP. Answers 0000 only for what the store's journal has made durable."""
