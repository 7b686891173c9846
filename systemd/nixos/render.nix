# Which files does a stack's folder in the profile hold? Pure: no option is looked up here.
{ lib, pkgs }:
let
  json = pkgs.formats.json { };
  isSet = value: value != null && value != { } && value != [ ];
  set = lib.filterAttrs (_: isSet);

  inStore = path: lib.hasPrefix "${builtins.storeDir}/" (toString path);
  # A file's own name, without the hash of a store path.
  nameOf =
    path:
    let
      base = baseNameOf (toString path);
    in
    builtins.unsafeDiscardStringContext (
      if dirOf (toString path) == builtins.storeDir then lib.substring 33 (-1) base else base
    );
  # A store path for each file alone: one that changes changes no other.
  own =
    path:
    if builtins.isPath path then
      builtins.path {
        inherit path;
        name = lib.strings.sanitizeDerivationName (nameOf path);
      }
    else
      path;
  ownOrNull = path: if path == null then null else "${own path}";
  # What a Nix path or a store path names is brought along; any other path is the host's.
  isBrought = path: builtins.isPath path || inStore path;

  # In single quotes nothing has a meaning; what cannot stand there is escaped in double ones.
  quote =
    value:
    if !lib.hasInfix "'" value && !lib.hasInfix "\n" value && !lib.hasInfix "\\" value then
      "'${value}'"
    else
      "\"${lib.replaceStrings [ "\\" "\"" "$" "\n" ] [ "\\\\" "\\\"" "\\$" "\\n" ] value}\"";
  dotenv =
    env: lib.concatStrings (lib.mapAttrsToList (key: value: "${key}=${quote (toString value)}\n") env);

  content =
    file:
    if file.source != null then
      own file.source
    else
      pkgs.writeTextFile {
        name = "side-file";
        inherit (file) text executable;
      };

  composes =
    stack:
    if lib.isList stack.compose then
      stack.compose
    else if isText stack then
      [ ]
    else
      [ stack.compose ];
  isText = stack: lib.isAttrs stack.compose && !lib.isDerivation stack.compose;
in
rec {
  inherit nameOf isText;

  # The agent's settings, in its own words.
  settings =
    stack:
    set {
      env_files = map (path: if isBrought path then nameOf path else path) stack.secrets.env;
      images = map (path: "${own path}") stack.images;
      requires_mounts = map (
        mount: if mount.type == null && !mount.optional then mount.path else set mount
      ) stack.requiresMounts;
      drift =
        if stack.drift == null then
          null
        else
          let
            drift = set stack.drift;
          in
          if lib.attrNames drift == [ "default" ] then drift.default else drift;
      update = set {
        keep_old = stack.update.keepOld;
        inherit (stack.update) order monitor rollback;
      };
      prune_images =
        if lib.isAttrs stack.pruneImages then
          set {
            older_than = stack.pruneImages.olderThan;
            keep_last = stack.pruneImages.keepLast;
          }
        else
          stack.pruneImages;
      check_registry = stack.checkRegistry;
      registries = lib.mapAttrs (
        _: login:
        set {
          inherit (login) username;
          password_file = ownOrNull login.passwordFile;
          identity_token_file = ownOrNull login.identityTokenFile;
        }
      ) stack.registries;
      on_secret_change = stack.secrets.onChange;
      ensure_dirs = lib.mapAttrsToList (
        path: folder:
        {
          inherit path;
        }
        // set folder
      ) stack.ensureDirs;
      health_deadline = stack.healthDeadline;
      unset_variables = stack.unsetVariables;
      remove_orphans = stack.removeOrphans;
    };

  # What stands in the compose file that is Nix values.
  document =
    stack:
    let
      secrets = lib.mapAttrs (name: _: { file = "./${name}"; }) stack.secrets.files;
      given = stack.compose.secrets or { };
      all = secrets // given;
    in
    removeAttrs stack.compose [ "secrets" ]
    // lib.optionalAttrs (all != { }) { secrets = all; }
    // extension stack;

  extension =
    stack:
    let
      agent = settings stack;
    in
    lib.optionalAttrs (agent != { }) { x-agent = agent; }
    // lib.optionalAttrs (stack.project != null) { name = stack.project; };

  # Names of files and where they come from, for a look at names that clash.
  named =
    stack:
    lib.attrNames stack.files
    ++ lib.attrNames stack.secrets.files
    ++ map nameOf (lib.filter isBrought stack.secrets.env)
    ++ lib.optional (stack.env != { }) ".env"
    ++ lib.attrNames (composeFiles stack);

  composeFiles =
    stack:
    let
      files = composes stack;
      numbered = lib.imap0 (index: path: {
        name = "compose.${toString index}.yaml";
        value = own path;
      }) files;
    in
    if isText stack then
      { "compose.yaml" = json.generate "compose.yaml" (document stack); }
    else if lib.length files == 1 then
      # The file as it was written, so that messages show its own lines; what is added lies beside it.
      {
        "compose.yaml" = own (lib.head files);
      }
      // lib.optionalAttrs (extension stack != { }) {
        "compose.override.yaml" = json.generate "compose.override.yaml" (extension stack);
      }
    else
      lib.listToAttrs numbered
      // {
        "compose.yaml" = json.generate "compose.yaml" (
          { include = [ { path = map (file: "./${file.name}") numbered; } ]; } // extension stack
        );
      };

  # Every file of the stack's folder, by its name there.
  files =
    stack:
    composeFiles stack
    // lib.optionalAttrs (stack.env != { }) {
      ".env" = pkgs.writeText "dotenv" (dotenv stack.env);
    }
    // lib.listToAttrs (
      map (path: {
        name = nameOf path;
        value = own path;
      }) (lib.filter isBrought stack.secrets.env)
    )
    // lib.mapAttrs (_: own) stack.secrets.files
    // lib.mapAttrs (_: content) stack.files;

  # The same files as a profile of their own, which is only there where agentctl finds nothing wrong with it.
  checked =
    {
      package,
      stacks,
      agentYaml,
    }:
    let
      all = lib.concatLists (
        lib.mapAttrsToList (
          name: stack:
          lib.mapAttrsToList (file: source: {
            path = "etc/compose-agent/${name}/${file}";
            inherit source;
          }) (files stack)
        ) stacks
      );
      link = { path, source }: ''
        mkdir -p "$out"/${lib.escapeShellArg (dirOf path)}
        ln -s ${source} "$out"/${lib.escapeShellArg path}
      '';
    in
    pkgs.runCommand "compose-agent-stacks" { } ''
      mkdir -p $out/etc/compose-agent
      ${lib.concatMapStrings link (
        all
        ++ lib.optional (agentYaml != null) {
          path = "etc/compose-agent/agent.yaml";
          source = agentYaml;
        }
      )}
      ${lib.optionalString (stacks != { }) "${package}/bin/agentctl check $out"}
    '';
}
