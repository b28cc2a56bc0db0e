# Plays somebody at a zsh who types each of these lines and the tab key, and prints what each has become, one a line:
# complete.zsh FOLDER-OF-COMPLETIONS LINE...
zmodload zsh/zpty || exit 1
zpty shell zsh -f -i
zpty -w shell "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; setopt no_list no_beep no_auto_list"
zpty -w shell 'show() { print -r -- "<<$BUFFER>>"; BUFFER=; }; zle -N show; bindkey "^T" show; bindkey "^I" complete-word'
zpty -w shell 'print -r "<<rea""dy>>"'
zpty -r shell seen '*<<ready>>*'
shift
for line; do
  zpty -w -n shell "$line"$'\t\x14'
  zpty -r shell seen '*<<*>>*'
  print -r -- "${${seen##*<<}%%>>*}"
done
zpty -d shell
