"""Rules in the browser: what is in force, the draft and its replay, the editor, revisions, explanations."""

from fastapi import APIRouter

from dicomnode.web.pages.rules import editor

ROUTERS: tuple[APIRouter, ...] = (editor.router,)
