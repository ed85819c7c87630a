"""Drives OHIF as a radiologist does: opens a study and its series, answers questions, reads text and pixels.

Every step waits for what it needs (a series in the list, a segmentation that is loaded, a screen that no longer
changes) and for nothing else; what is not there within `PATIENCE` is an error that names what was waited for.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from ohif import Ohif
from PIL import Image
from playwright.sync_api import ConsoleMessage, Response, sync_playwright

PATIENCE = 90.0  # seconds: WebGL is computed on the CPU
REST, LOOKS = 0.6, 5  # seconds, and looks in a row, without a change: looks take longer where the machine is busy

_FLAGS = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--hide-scrollbars",
)  # fmt: skip
_NOISE = ("favicon", "manifest", "DevTools", "ResizeObserver loop", "GPU stall due to ReadPixels")
_NO_TOUR = "localStorage.setItem('shownTours', '[\"basicViewerTour\"]')"

_STUDY_IS_THERE = "count => window.services?.displaySetService?.getActiveDisplaySets().length >= count"
_FIND = """uid => window.services.displaySetService.getActiveDisplaySets().filter(set => set.SeriesInstanceUID === uid)
  .map(set => ({id: set.displaySetInstanceUID, modality: set.Modality, unsupported: !!set.unsupported}))[0]"""
_IS_SHOWN = """id => {
  const {displaySetService, segmentationService, viewportGridService: grid} = window.services;
  const set = displaySetService.getDisplaySetByUID(id);
  if (set.Modality === 'SEG') {
    const viewport = grid.getState().activeViewportId;
    const drawn = segmentationService.getSegmentationRepresentations(viewport);
    const [first] = grid.getState().viewports.get(viewport).displaySetInstanceUIDs; // itself: only offered yet
    return set.isLoaded && first !== id && drawn.some(one => one.segmentationId === id);
  }
  const shown = [...grid.getState().viewports.values()].some(one => one.displaySetInstanceUIDs.includes(id));
  const drawn = (set.measurements || []).some(one =>
    document.querySelector(`[data-annotation-uid="${one.TrackingUniqueIdentifier}"]`));
  return shown && (set.Modality !== 'SR' || (set.isLoaded && (drawn || !set.measurements.length)));
}"""
_IS_DRAWN = """uid => !!document.querySelector(`[data-annotation-uid="${uid}"]`)"""
_IS_RENDERED = """() => {
  const {cornerstoneViewportService: service, viewportGridService: grid} = window.services;
  const viewport = service.getCornerstoneViewport(grid.getState().activeViewportId);
  return !viewport || viewport.viewportStatus === 'rendered';
}"""
_IMAGE_ID = """() => {
  const {cornerstoneViewportService: service, viewportGridService: grid} = window.services;
  return service.getCornerstoneViewport(grid.getState().activeViewportId).getCurrentImageId();
}"""
_SHOW_SEGMENTS = """visible => {
  const {segmentationService, viewportGridService: grid, cornerstoneViewportService} = window.services;
  const viewport = grid.getState().activeViewportId;
  const {element} = cornerstoneViewportService.getCornerstoneViewport(viewport);
  const changing = segmentationService.getSegmentationRepresentations(viewport).filter(one => one.visible !== visible);
  const drawn = new Promise(done => element.addEventListener('CORNERSTONE_IMAGE_RENDERED', done, {once: true}));
  for (const {segmentationId, type} of changing)
    segmentationService.toggleSegmentationRepresentationVisibility(viewport, {segmentationId, type});
  return changing.length ? drawn.then(() => true) : true;
}"""
_SERIES = """() => [...document.querySelectorAll('[id^="thumbnail-"]')]
  .map(thumbnail => window.services.displaySetService.getDisplaySetByUID(thumbnail.id.replace('thumbnail-', '')))
  .filter(Boolean).map(set => ({
    series_instance_uid: set.SeriesInstanceUID, sop_instance_uid: set.SOPInstanceUID ?? null, modality: set.Modality,
    description: set.SeriesDescription, unsupported: !!set.unsupported}))"""
_OUTLINES = """uid => window.services.displaySetService.getActiveDisplaySets()
  .filter(set => set.SeriesInstanceUID === uid).flatMap(set => set.measurements || [])
  .map(one => ({name: one.TrackingIdentifier, uid: one.TrackingUniqueIdentifier, drawn: !!one.loaded,
    labels: (one.labels || []).map(label => `${label.label}: ${label.value}`)}))"""


class ViewerError(Exception):
    """The viewer did not do what a radiologist would wait for; the page's own errors are in it."""


@dataclass(frozen=True, slots=True)
class Series:
    """What stands in the viewer's list of series."""

    series_instance_uid: str
    sop_instance_uid: str | None
    modality: str
    description: str
    unsupported: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """A region of a report: its tracking identifiers, whether the viewer draws it, and what it writes beside it."""

    name: str
    uid: str
    drawn: bool
    labels: tuple[str, ...]


class Browser:
    """One headless Chromium with one page, ended on leaving."""

    def __init__(self, executable: Path, size: tuple[int, int] = (1280, 800)) -> None:
        self._executable, self._size = executable, size

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        launcher = self._playwright.chromium
        self._chromium = launcher.launch(executable_path=str(self._executable), args=list(_FLAGS), headless=True)
        self._context = self._chromium.new_context(viewport={"width": self._size[0], "height": self._size[1]})
        self._context.add_init_script(_NO_TOUR)
        self.page = self._context.new_page()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._context.close()
        self._chromium.close()
        self._playwright.stop()


class Reading:
    """A study that is open in the viewer.

    Parameters
    ----------
    series
        How many series the study has: it is open when so many are in the list.
    at
        SOP Instance UID of the image that the address asks for; empty: the viewer's choice.
    """

    def __init__(self, browser: Browser, viewer: Ohif, study_instance_uid: str, series: int, at: str = "") -> None:
        self._page = browser.page
        self._complaints: list[str] = []
        self._page.on("console", self._on_console)
        self._page.on("pageerror", self._on_error)
        self._page.on("response", self._on_response)
        asked = f"StudyInstanceUIDs={study_instance_uid}" + (f"&initialSOPInstanceUID={at}" if at else "")
        self._page.goto(f"{viewer.url}/viewer?{asked}", wait_until="domcontentloaded")
        self._until(_STUDY_IS_THERE, series, f"{series} series in the list")
        self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._page.remove_listener("console", self._on_console)
        self._page.remove_listener("pageerror", self._on_error)
        self._page.remove_listener("response", self._on_response)

    def series(self) -> tuple[Series, ...]:
        """The list of series, in the order in which it is shown."""
        return tuple(Series(**one) for one in self._page.evaluate(_SERIES))

    def show(self, series_instance_uid: str, answer: str = "yes") -> tuple[str, ...]:
        """Open a series by a double click on its thumbnail.

        Returns
        -------
        What the viewer asked before it opened it; it was answered with `answer`.
        """
        found = self._page.evaluate(_FIND, series_instance_uid)
        if not found or found["unsupported"]:
            raise ViewerError(f"the viewer cannot show the series {series_instance_uid}: {found or 'not listed'}")
        thumbnail = self._page.locator(f'[id="thumbnail-{found["id"]}"]')
        thumbnail.scroll_into_view_if_needed()
        thumbnail.dblclick()
        asked = self._answer(found["id"], answer)
        self._settle()
        return asked

    def panel(self, name: str) -> tuple[str, ...]:
        """Unfold the list of segments ("panelSegmentation") or of measurements ("trackedMeasurements"); its rows."""
        self._page.locator(f"[data-cy={name}-btn]").first.click()
        self._settle()
        return self.rows()

    def rows(self) -> tuple[str, ...]:
        """The rows of the list that is unfolded."""
        texts = self._page.locator("[data-cy=data-row]").all_inner_texts()
        return tuple(" ".join(text.split()) for text in texts)

    def jump(self, row: int) -> None:
        """Click on a row of the unfolded list: the image goes to where it is."""
        self._page.locator("[data-cy=data-row]").nth(row).click()
        self._page.mouse.move(0, 0)  # away from the row: no card of statistics on top of the image
        self._settle()

    def outlines(self, series_instance_uid: str) -> tuple[Outline, ...]:
        """The regions of a report that is open."""
        found = self._page.evaluate(_OUTLINES, series_instance_uid)
        return tuple(Outline(**one | {"labels": tuple(one["labels"])}) for one in found)

    def next(self, outline: Outline) -> None:
        """Go on to the report's next region, which is `outline`, by the arrow on the image."""
        self._page.locator("[data-cy=viewport-action-arrows-right]").click()
        self._until(_IS_DRAWN, outline.uid, f"{outline.name} drawn")
        self._settle()

    def show_segments(self, visible: bool) -> None:
        """Draw the segments or leave them away."""
        self._page.evaluate(_SHOW_SEGMENTS, visible)
        self._settle()

    def sop_instance_uid(self) -> str:
        """Of the image in the active viewport."""
        image_id: str = self._page.evaluate(_IMAGE_ID)
        return image_id.partition("/instances/")[2].partition("/")[0]

    def text(self) -> str:
        """All that is written on the images or in the document."""
        return self._page.locator("[data-cy=viewport-grid]").inner_text()

    def image(self) -> NDArray[np.int16]:
        """Pixels (rows, columns, 3) of the viewports, as on the screen."""
        box = self._page.locator("[data-cy=viewport-grid]").bounding_box()
        if box is None:
            raise ViewerError("the viewer shows no viewport" + self._page_errors())
        data = self._page.screenshot(clip=box)
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int16)

    def save(self, path: Path) -> None:
        """The whole screen as a PNG of 256 colours."""
        screen = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        screen.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE).save(path, optimize=True)

    def complaints(self) -> tuple[str, ...]:
        """Errors on the console, exceptions, refused requests, and the viewer's own messages of errors."""
        page = self._page
        toasts = page.locator("[data-sonner-toast]").all_inner_texts()
        crashes = page.get_by_text("Something went wrong").all_inner_texts()
        return tuple(dict.fromkeys([*self._complaints, *toasts, *crashes]))

    def _answer(self, display_set: str, answer: str) -> tuple[str, ...]:
        """Answer each question until the series is shown."""
        buttons = f'button[name="{answer}-hydrate"], button[name="prompt-begin-tracking-{answer}"]'
        asked: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while not (shown := self._page.evaluate(_IS_SHOWN, display_set)) or self._page.locator(buttons).count():
            button = self._page.locator(buttons).first
            if button.count() and button.is_visible():
                asked.append(button.locator("xpath=ancestor::*[@data-cy][1]").inner_text().split("\n")[0])
                button.click()
                button.wait_for(state="detached")
            if time.monotonic() > deadline:
                raise ViewerError(
                    f"the series is {'' if shown else 'not '}shown after {PATIENCE:g} s" + self._page_errors()
                )
            self._page.wait_for_timeout(50)
        return tuple(asked)

    def _settle(self) -> None:
        """Until the image is drawn and the screen has not changed for `REST` seconds."""
        self._until(_IS_RENDERED, None, "the image drawn")
        deadline = time.monotonic() + PATIENCE
        last, since, looks = self._page.screenshot(), time.monotonic(), 1
        while looks < LOOKS or time.monotonic() - since < REST:
            self._page.wait_for_timeout(50)
            now = self._page.screenshot()
            looks += 1
            if now != last:
                last, since, looks = now, time.monotonic(), 1
            if time.monotonic() > deadline:
                raise ViewerError(f"the screen does not come to rest within {PATIENCE:g} s" + self._page_errors())

    def _until(self, holds: str, argument: object, what: str) -> None:
        try:
            self._page.wait_for_function(holds, arg=argument, timeout=PATIENCE * 1000)
        except Exception as error:
            raise ViewerError(f"waited {PATIENCE:g} s for {what}" + self._page_errors()) from error

    def _page_errors(self) -> str:
        return "; the page reports: " + (" | ".join(self.complaints()) or "nothing")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(noise in message.text for noise in _NOISE):
            self._complaints.append(message.text[:400])

    def _on_error(self, error: object) -> None:
        self._complaints.append(f"uncaught: {error}"[:400])

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and not any(noise in response.url for noise in _NOISE):
            self._complaints.append(f"HTTP {response.status} {response.request.method} {response.url[:160]}")
