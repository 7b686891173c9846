# Reads a unit file as systemd does: { Section.Key = [ value … ]; }.
#
# So the directives of the service, each with its reason, are written once, in systemd/units, for every host.
{ lib }:
path:
let
  lines = lib.filter (line: line != "" && !lib.hasPrefix "#" line) (
    lib.splitString "\n" (builtins.readFile path)
  );
  step =
    state: line:
    let
      section = builtins.match "\\[(.*)]" line;
      pair = builtins.match "([A-Za-z]+)=(.*)" line;
      key = lib.elemAt pair 0;
      have = state.unit.${state.section} or { };
    in
    if section != null then
      state // { section = lib.head section; }
    else if pair == null then
      throw "${toString path}: neither a section nor a directive: ${line}"
    else
      state
      // {
        unit = state.unit // {
          ${state.section} = have // {
            ${key} = (have.${key} or [ ]) ++ [ (lib.elemAt pair 1) ];
          };
        };
      };
in
(lib.foldl' step {
  section = "";
  unit = { };
} lines).unit
