built_for: str
built_with: list[str]

def features() -> dict[str, bool]: ...
