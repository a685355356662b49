"""Who is at fault, on which evidence: rules over observations, and experiments that make more of them."""
