# The workstation: little runs here, and only what is declared.
{ docker, ... }:
{ ... }:
{
  services.compose-agent = {
    enable = true;
    defaults.requiresMounts = [ "/mnt/data" ];
    stacks = {
      epi_management.compose = docker + "/management/epi_management/docker-compose.yml";
      epi.compose = docker + "/tdarr/epi/docker-compose.yml";
    };
  };
}
