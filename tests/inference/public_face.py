"""What design and README promise of the package's names."""

FACE = {"BodyParameters", "Model", "Person", "PinholeCamera", "UserError", "list_models", "load"}
