"""The contract: fields, models, the fast reader, what is generated."""
