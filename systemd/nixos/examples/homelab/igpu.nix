# The machine with the graphics card: media below mergerfs mounts, waited for by the paths themselves.
{ docker, secrets }:
{ ... }:
let
  file = name: docker + "/${name}/docker-compose.yml";
  media = [
    "/mnt/data"
    "/mnt/fuse/Media/Movies"
    "/mnt/fuse/Media/TV_Shows"
    "/mnt/fuse/Media/Music"
  ];
in
{
  services.compose-agent = {
    enable = true;
    stacks = {
      igpu.compose = file "management/igpu";

      plex.compose = file "plex";
      plex.requiresMounts = media;

      jellyfinn = {
        compose = [
          (file "jellyfinn")
          ./jellyfinn-script.yaml
        ];
        requiresMounts = media;
        secrets.env = [ (secrets + "/jellyfin.env") ];
        files."inotify-recv.sh" = docker + "/jellyfinn/inotify-recv.sh";
      };
    };
  };
}
