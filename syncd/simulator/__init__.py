"""A Planfix on loopback, as strict as the real one and, when told to, as bad.

- `planfix.py`: the server; who may call, and what becomes of a call
- `functions.py`: the functions of the XML API
- `request.py`: a call as it came in; `fields.py`: what a write sets
- `book.py`: the contacts behind them, and what a person does in Planfix
- `people.py`: one contact, its XML, and how people are invented
- `faults.py`: what goes wrong, on demand
"""
