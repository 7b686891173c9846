# What can be refused while the system is evaluated? Only what Nix values say: `agentctl check` reads the rest when the
# system is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.compose-agent;
  render = import ./render.nix { inherit lib pkgs; };
  stacks = lib.filterAttrs (_: stack: stack.enable) cfg.stacks;
  at = name: "services.compose-agent.stacks.${name}";

  # Docker Compose's own normal form of a name.
  normal =
    name:
    lib.concatStrings (
      lib.filter (char: builtins.match "[a-z0-9_-]" char != null) (
        lib.stringToCharacters (lib.toLower name)
      )
    );
  values = stack: if render.isText stack then stack.compose else { };
  projectOf =
    name: stack: if stack.project != null then stack.project else (values stack).name or (normal name);

  # { what = "/container"; who = "web, service a"; }, for every claim on something that a host has once.
  claims =
    of:
    lib.concatLists (
      lib.mapAttrsToList (
        name: stack:
        lib.concatLists (
          lib.mapAttrsToList (
            service: body:
            map (what: {
              inherit what;
              who = "${name} (service ${service})";
            }) (of body)
          ) ((values stack).services or { })
        )
      ) stacks
    );
  isPlain = value: !lib.hasInfix "$" value;
  containerNames =
    body: lib.optional (body ? container_name && isPlain body.container_name) body.container_name;

  number = text: lib.toIntBase10 text;
  isNumber = text: builtins.match "[0-9]+" text != null;
  range =
    text:
    let
      ends = lib.splitString "-" text;
    in
    if lib.all isNumber ends && lib.length ends <= 2 then
      lib.range (number (lib.head ends)) (number (lib.last ends))
    else
      [ ];
  # "IP:HOST:CONTAINER/PROTOCOL" and the long form, as "PORT/PROTOCOL" and the address.
  ports =
    port:
    if lib.isAttrs port then
      map (published: {
        key = "${toString published}/${port.protocol or "tcp"}";
        address = port.host_ip or "";
      }) (range (toString (port.published or "")))
    else if lib.isInt port || !isPlain port then
      [ ]
    else
      let
        whole = lib.splitString "/" port;
        protocol = if lib.length whole > 1 then lib.last whole else "tcp";
        parts = lib.splitString ":" (lib.head whole);
        count = lib.length parts;
      in
      if count < 2 then
        [ ]
      else
        map (published: {
          key = "${toString published}/${protocol}";
          address = lib.concatStringsSep ":" (lib.take (count - 2) parts);
        }) (range (lib.elemAt parts (count - 2)));
  portsOf = body: lib.concatMap ports (body.ports or [ ]);
  everywhere =
    address:
    lib.elem address [
      ""
      "0.0.0.0"
      "[::]"
      "::"
    ];

  clash =
    noun: found: same:
    let
      groups = lib.attrValues (lib.groupBy (claim: claim.what.key or claim.what) found);
      clashing = lib.filter (group: lib.length group > 1 && same group) groups;
    in
    map (group: {
      assertion = false;
      message = "services.compose-agent: ${noun} ${
        (lib.head group).what.key or (lib.head group).what
      } is claimed by ${lib.concatMapStringsSep " and by " (claim: claim.who) group}";
    }) clashing;
  overlap =
    group:
    let
      addresses = map (claim: claim.what.address) group;
    in
    lib.any everywhere addresses || !lib.allUnique addresses;

  projects = lib.mapAttrsToList (name: stack: {
    what = projectOf name stack;
    who = name;
  }) stacks;

  repeated = list: lib.unique (lib.filter (name: lib.count (other: other == name) list > 1) list);
  ofStack =
    name: stack:
    let
      doubled = repeated (render.named stack);
      badKeys = lib.filter (key: builtins.match "[A-Za-z_][A-Za-z0-9_.-]*" key == null) (
        lib.attrNames stack.env
      );
      unclear = lib.attrNames (
        lib.filterAttrs (_: file: (file.source == null) == (file.text == null)) stack.files
      );
      outside = lib.filter (file: lib.hasPrefix "/" file || lib.elem ".." (lib.splitString "/" file)) (
        lib.attrNames stack.files ++ lib.attrNames stack.secrets.files
      );
    in
    [
      {
        assertion = builtins.match "[A-Za-z0-9][A-Za-z0-9_.-]*" name != null && name != "agent.yaml";
        message = "${at name}: a stack's name has letters, digits, `_`, `.` and `-`";
      }
      {
        assertion = stack.compose != null;
        message = "${at name}.compose is not set: give a compose file or its content";
      }
      {
        assertion = badKeys == [ ];
        message = "${at name}.env: not the names of variables: ${toString badKeys}";
      }
      {
        assertion = unclear == [ ];
        message = "${at name}.files: set either source or text of ${toString unclear}";
      }
      {
        assertion = outside == [ ];
        message = "${at name}: not inside the stack's folder: ${toString outside}";
      }
    ]
    ++ lib.optional (stack.compose != null) {
      assertion = doubled == [ ];
      message = "${at name}: several files are called ${toString doubled}";
    };
  hasSecrets = lib.any (stack: stack.secrets.env != [ ] || stack.secrets.files != { }) (
    lib.attrValues stacks
  );
in
{
  config = lib.mkIf cfg.enable {
    assertions =
      lib.concatLists (lib.mapAttrsToList ofStack stacks)
      ++ clash "the project name" projects (_: true)
      ++ clash "the container name" (claims containerNames) (_: true)
      ++ clash "the host port" (claims portsOf) overlap
      ++ lib.imap0 (index: one: {
        assertion =
          lib.count (way: way != null) [
            one.command
            one.webhook
            one.webhookFile
          ] == 1;
        message = "services.compose-agent.notifications[${toString index}]: set one of command, webhook and webhookFile";
      }) cfg.notifications;
    warnings = lib.optional (hasSecrets && cfg.keys.age == [ ] && cfg.keys.ssh == [ ]) (
      "services.compose-agent: stacks have secrets, and neither keys.age nor keys.ssh is set: only the usual places are "
      + "looked at for a key"
    );
  };
}
